package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"rtd/host/auth"
	"rtd/host/gateway/handshake"
	"rtd/host/process"
	"rtd/host/rollout"
	"rtd/supervisor"
)

// decide says whether a client may come, as who, and with which claims of its token: the mount's rules for tokens
// come first, and then its plugin.
func (g *Gateway) decide(r *http.Request, m *mount, params map[string]any, offer handshake.Offer) (*auth.Claims, process.Connection, error) {
	claims, err := g.tokens.admit(r.Context(), m, params, offer)
	if err != nil {
		return nil, process.Connection{}, err
	}
	connection, err := g.connect(r.Context(), m, claims, func() []byte {
		return handshake.Info{Params: params, Offer: offer, Claims: claimsOf(claims), Proxies: g.proxies}.JSON(r)
	})
	return claims, connection, err
}

// connect asks the mount's plugin about a client, if there is one that wants to be
// asked. It ends early with ctx. Clients that wait for a slow plugin hold up no
// others, but for the bound on their number.
func (g *Gateway) connect(ctx context.Context, m *mount, claims *auth.Claims, info func() []byte) (process.Connection, error) {
	name := g.plugins.Connector(m.name)
	if name == "" {
		return process.Connection{Assigns: claimsOf(claims)}, nil
	}
	select {
	case m.connecting <- struct{}{}:
		defer func() { <-m.connecting }()
	default:
		return process.Connection{}, refuse(http.StatusServiceUnavailable, "connecting", errConnecting)
	}
	ctx, cancel := context.WithTimeout(ctx, m.config.ConnectTimeout)
	defer cancel()
	connection, err := g.plugins.Connect(ctx, name, m.name, info())
	if err == nil {
		if connection.Assigns == nil {
			connection.Assigns = claimsOf(claims)
		}
		return connection, nil
	}
	err = fmt.Errorf("ask plugin %s: %w", name, err)
	if refused, ok := errors.AsType[*process.RefusedError](err); ok {
		return connection, refuse(refused.Status, "connect", err)
	}
	if supervisor.IsCrash(err) && ctx.Err() == nil && !errors.Is(err, rollout.ErrNoPlugin) && !errors.Is(err, process.ErrNoRoom) {
		return connection, refuse(http.StatusInternalServerError, "crash", err)
	}
	return connection, refuse(http.StatusServiceUnavailable, "connecting", err)
}

var errConnecting = errors.New("too many clients wait for connect; see max_connecting in config.toml")
