"""Networks that are trained here: on objects, on a screening task, or on the brain itself."""
