"""The demo: one page that shows what the packaged weights do, on rendered people, real ones, and your own video."""

from denseil.demo.page import demo as demo
