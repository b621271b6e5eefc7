"""Readers and writers, one module for each format. Only this folder opens files, and every heavy import happens on use."""
