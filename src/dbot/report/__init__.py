"""What people look at: the table and the page, made from the plan and the receipts alone."""
