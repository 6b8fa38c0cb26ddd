"""How a server is reached: settings, accounts, encryption, the embedded one, and what servers say."""
