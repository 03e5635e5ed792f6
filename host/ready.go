package host

import (
	"net/http"
	"strings"

	"rtd/host/deploy"
	"rtd/host/gateway"
)

// readiness is whether clients should come here: every plugin of the folder has been decided about, and runs, and
// the bus works if anything needs it, and so does the way to other nodes.
type readiness struct {
	gateway  *gateway.Gateway
	deployer *deploy.Deployer
	needs    *busNeeds
	durables *durables
	nodes    *nodes
}

// Ready implements [api.Backend] and [admin.Backend].
func (r readiness) Ready() bool { return len(r.reasons()) == 0 }

// reasons returns why clients should not come here, a line for each; none if they should.
func (r readiness) reasons() []string {
	if why := r.gateway.Shut(); why != "" {
		return []string{why}
	}
	reasons := r.deployer.NotReady()
	if why := r.needs.reason(); why != "" {
		reasons = append(reasons, why)
	} else if why := r.durables.reason(); why != "" {
		reasons = append(reasons, why)
	}
	if why := r.nodes.reason(); why != "" {
		reasons = append(reasons, why)
	}
	return reasons
}

// ServeHTTP answers /readyz. Causes are in the log, which is not for everybody.
func (r readiness) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if reasons := r.reasons(); len(reasons) > 0 {
		http.Error(w, "not ready\n"+strings.Join(reasons, "\n"), http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ready\n"))
}

// healthz answers as long as the process can.
func healthz(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) }
