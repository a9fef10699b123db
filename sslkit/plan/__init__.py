"""What a recipe will take, before anything is rented: work, memory, time."""
