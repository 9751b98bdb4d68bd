package rotate

// Patience is how long a use waits for a source.
const Patience = patience
