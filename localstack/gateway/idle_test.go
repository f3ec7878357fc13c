package gateway_test

func runIdleClients() bool { return false }
