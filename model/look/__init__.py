"""What a head looks like: its texture space, its texture as the photograph shows it, skin and light."""
