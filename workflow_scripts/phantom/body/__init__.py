"""The phantom patients: heads, faces, lesions."""
