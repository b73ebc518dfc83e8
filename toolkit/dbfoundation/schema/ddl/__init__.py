"""The DDL between two schemas: statements that lead from one to the other, and back."""
