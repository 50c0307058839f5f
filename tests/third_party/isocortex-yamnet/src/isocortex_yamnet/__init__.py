"""YAMNet (Google, 2019) as a model of isocortex: a MobileNet on log-mel patches, trained on AudioSet."""
