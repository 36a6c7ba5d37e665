# Linear probing: nothing of the ViT is trained.
