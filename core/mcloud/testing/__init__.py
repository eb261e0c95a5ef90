"""The kit for authors of plugins: contracts, fake machines, fake clouds. Imported, never loaded by itself."""
