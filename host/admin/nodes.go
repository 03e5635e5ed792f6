package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"rtd/host/httpapi"
)

// Node is a node of the cluster, as the one that is asked sees it.
type Node struct {
	Name        string        `json:"name"`
	State       string        `json:"state"` // see the constants
	Since       time.Time     `json:"since"` // of State, by the clock of the node that is asked
	Version     string        `json:"version,omitempty"`
	Connections int           `json:"connections"`
	Topics      int           `json:"topics"` // with members or listeners there
	Memory      int64         `json:"memory"` // resident, in bytes
	Trip        time.Duration `json:"trip"`   // there and back, in nanoseconds; 0 is not known
	Waiting     int           `json:"waiting"`
	Cause       string        `json:"cause,omitempty"` // why it does not take part
}

// The states of a [Node].
const (
	NodeSelf    = "self"
	NodeJoining = "joining"
	NodeThere   = "there"
	NodeAway    = "away"
	NodeLeft    = "left"
)

// ErrNoCluster says that a server is no node of a cluster.
var ErrNoCluster = errors.New("this server is no node of a cluster: its config has no [cluster] with a name")

// Nodes is the part of a [Backend] that knows the cluster.
type Nodes interface {
	// Nodes lists the nodes by name, or returns [ErrNoCluster].
	Nodes() ([]Node, error)
	// ForgetNode takes a node off the list that is not there.
	ForgetNode(name, by string) error
	// AskNode passes a question on to another node, where [Server.Answer] answers it.
	AskNode(ctx context.Context, name string, q Question) (Answer, error)
}

func (s *Server) routeNodes(mux *http.ServeMux) {
	mux.HandleFunc("GET /admin/nodes", s.nodes)
	mux.HandleFunc("DELETE /admin/nodes", s.forgetNode)
}

func (s *Server) nodes(w http.ResponseWriter, _ *http.Request) {
	list, err := s.backend.Nodes()
	if err != nil {
		refuse(w, err)
		return
	}
	httpapi.Succeed(w, append([]Node{}, list...))
}

func (s *Server) forgetNode(w http.ResponseWriter, r *http.Request) {
	if err := s.backend.ForgetNode(r.URL.Query().Get("node"), by(r)); err != nil {
		refuse(w, err)
		return
	}
	httpapi.Succeed(w, struct{}{})
}

// Nodes lists the nodes of the server's cluster by name.
func (c *Client) Nodes(ctx context.Context) (list []Node, err error) {
	return list, c.ask(ctx, "GET", "nodes", nil, nil, &list)
}

// ForgetNode takes a node off the list that is not there.
func (c *Client) ForgetNode(ctx context.Context, name string) error {
	return c.ask(ctx, "DELETE", "nodes", url.Values{"node": {name}}, nil, &struct{}{})
}
