package host

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"rtd/host/admin"
	"rtd/host/durable"
	"rtd/host/rollout"
)

// asideBackend is what durable actors have crashed at, as those see it who administer the server.
type asideBackend struct {
	durables *durables
	plugins  *rollout.Set
	log      *slog.Logger
}

// asidePatience is how long an actor may take to try again what was set aside. It may have to wake in an earlier version.
const asidePatience = 2 * time.Minute

// posts returns what was set aside. Nothing is an answer, too.
func (b asideBackend) posts() ([]durable.Post, error) {
	k := b.durables.begun()
	if k == nil {
		return nil, nil
	}
	if err := k.Err(); err != nil {
		return nil, fmt.Errorf("list what is set aside: %w", err)
	}
	return k.SetAside(), nil
}

// Asides implements [admin.Asides].
func (b asideBackend) Asides() (list []admin.Aside, err error) {
	posts, err := b.posts()
	for i := range posts[:min(len(posts), admin.MaxAsides)] {
		list = append(list, adminAside(&posts[i]))
	}
	return list, err
}

func adminAside(p *durable.Post) admin.Aside {
	what := "message"
	if p.Aside.Timer {
		what = "timer"
	}
	return admin.Aside{
		ID: p.ID.String(), Actor: p.To.String(), What: what, Event: p.Aside.Event, At: p.Aside.At, Cause: p.Aside.Cause,
		Bytes: len(p.Payload), Payload: p.Payload,
	}
}

// RetryAside implements [admin.Asides].
func (b asideBackend) RetryAside(ctx context.Context, id, by string) (admin.Aside, error) {
	return b.decide(ctx, id, by, "retry", "what was set aside was tried again, and is done", b.plugins.Retry)
}

// DropAside implements [admin.Asides].
func (b asideBackend) DropAside(ctx context.Context, id, by string) (admin.Aside, error) {
	return b.decide(ctx, id, by, "drop", "what was set aside was thrown away", b.plugins.Discard)
}

func (b asideBackend) decide(ctx context.Context, id, by, verb, done string,
	decide func(context.Context, durable.Actor, durable.PostID) error) (a admin.Aside, err error) {
	post, err := b.find(id)
	if err != nil {
		return a, err
	}
	ctx, cancel := context.WithTimeout(ctx, asidePatience)
	defer cancel()
	if err := decide(ctx, post.To, post.ID); err != nil {
		return a, fmt.Errorf("%s %s of %s: %w", verb, post.ID, post.To, err)
	}
	b.log.Info(done, "plugin", post.To.Plugin, "actor", post.To.String(), "id", post.ID.String(), "by", by)
	return adminAside(post), nil
}

// find returns the one whose id begins with a text.
func (b asideBackend) find(id string) (found *durable.Post, err error) {
	posts, err := b.posts()
	if err != nil {
		return nil, err
	}
	for i := range posts {
		switch text := posts[i].ID.String(); {
		case text == id:
			return &posts[i], nil
		case !strings.HasPrefix(text, id) || id == "":
		case found != nil:
			return nil, fmt.Errorf("%.80q is the beginning of several ids; say more of it", id)
		default:
			found = &posts[i]
		}
	}
	if found == nil {
		return nil, fmt.Errorf("nothing is set aside by the id %.80q; rtd crash list shows what is", id)
	}
	return found, nil
}
