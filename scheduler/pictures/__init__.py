"""Pictures of a store, for files and for notebooks."""
