"""The demo: one page that shows what the packaged weights do, on rendered people, real ones, and one's own video."""

from denseil.demo.page import demo as demo
