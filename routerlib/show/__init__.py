"""What people see: tables, words, plots, pages, notebooks, playground."""
