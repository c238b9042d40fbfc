"""What every part of the house may use: small things that know nothing of networks, data sets or receipts."""
