"""MobileNet v1 and v2 as models of isocortex, from files of 8-bit constants."""
