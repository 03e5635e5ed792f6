// The functions of seed_wasip1.go that have no body are the runtime's.
