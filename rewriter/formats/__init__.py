"""Readers and writers, one module for each format. Only this folder opens files; heavy imports happen on use."""
