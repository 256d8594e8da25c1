"""What runs the numbered notebooks, and the views that some of them tell with."""
