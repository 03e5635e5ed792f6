package folder

// GoEnv returns the variables that a build of a Go guest sets in the environment, in
// place of the user's: the platform of guests, and settings that would change the build
// or stop it. A go.work above the plugin does not list it; GOFLAGS may ask for
// -mod=vendor or -race; GO111MODULE=off knows no go.mod. The user decides where modules,
// caches and toolchains come from (GOPROXY, GOPRIVATE, GOMODCACHE, GOCACHE, GOTOOLCHAIN
// and so on).
//
// The go command takes an empty variable for one that is not set, and then takes what go env -w has written. So
// GOFLAGS is a flag that changes nothing: builds of guests have it in any case.
func GoEnv() []string {
	return []string{
		"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOWASM=", "GOEXPERIMENT=",
		"GOWORK=off", "GO111MODULE=on", "GOFLAGS=-buildvcs=false",
	}
}
