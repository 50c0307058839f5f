"""A plugin whose models cannot be imported; its manifest is as it should be."""
