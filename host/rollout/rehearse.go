package rollout

import (
	"context"
	"crypto/sha256"

	"rtd/host/app"
)

// Rehearse tries how the processes of a plugin would move to a module, which is compiled
// and tried as by Deploy, and goes again; see [app.App.Rehearse]. A plugin that does not
// exist has nothing to move.
func (s *Set) Rehearse(ctx context.Context, name string, next func() (Next, error)) (moving *app.Moving, err error) {
	done := s.deploys(name, func(*turn) {
		var n Next
		if n, err = next(); err == nil {
			moving, err = s.rehearse(ctx, name, n)
		}
	})
	if !done {
		err = ErrClosed
	}
	return moving, err
}

func (s *Set) rehearse(ctx context.Context, name string, n Next) (*app.Moving, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.closing, func() { cancel(ErrClosed) })()
	pl := s.get(name)
	if pl == nil {
		pl = s.newPlugin(name)
		defer pl.Discard()
	}
	r, err := s.load(ctx, pl, n.WASM, sha256.Sum256(n.WASM), n.Settings)
	if err != nil {
		return nil, err
	}
	defer r.Module.Close()
	moving, err := pl.App.Rehearse(ctx, r)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return moving, err
}
