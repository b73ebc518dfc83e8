"""What this project costs beside what a user would pick instead: `invoke bench`."""
