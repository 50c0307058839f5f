"""Networks that learn to name objects: the CIFAR CNN and HD-CNN, from archives of CIFAR-10 and CIFAR-100."""
