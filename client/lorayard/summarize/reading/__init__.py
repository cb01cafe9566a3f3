"""Text out of files of several kinds, in pieces, so that no file has to fit into memory."""
