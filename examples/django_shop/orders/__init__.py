"""The app that takes orders and fulfils them."""
