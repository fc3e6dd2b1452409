"""What is written for a face: arrays, meshes, textures, pictures and the page that shows them."""
