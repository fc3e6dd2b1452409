"""Writing the files of a face: arrays, meshes, textures, pictures and the page that shows them."""
