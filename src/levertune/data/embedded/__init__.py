"""Data made by this project and shipped with it: three small tasks and two general sources."""
