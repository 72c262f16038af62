"""Builders that turn raw sources into datasets. They run locally; they are not loading scripts."""
