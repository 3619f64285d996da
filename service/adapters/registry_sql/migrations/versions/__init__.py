"""One file a schema. A file that was released is never changed."""
