"""Networks that see: torchvision's, timm's, CORnet-S and CvT."""
