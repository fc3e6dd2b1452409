"""One file per published model: each turns the model's own files into `HeadAssets`."""
