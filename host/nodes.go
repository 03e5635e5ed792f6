package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"time"

	"rtd/channels"
	"rtd/channels/presence"
	"rtd/host/admin"
	"rtd/host/api"
	"rtd/host/bus"
	"rtd/host/cluster"
	"rtd/host/config"
	"rtd/host/gateway"
	"rtd/host/gateway/longpoll"
)

// nodes is the server as a node of a cluster. Nil: it is none.
type nodes struct {
	options     bus.MeshOptions
	downAfter   time.Duration
	certificate *certificate // nil without one
	endpoint    *channels.Endpoint
	load        func() cluster.Load
	answerPoll  func(context.Context, longpoll.Request) ([]byte, error)
	admin       *administration
	log         *slog.Logger

	mesh *bus.Mesh     // since open
	node *cluster.Node // since open
}

// How long clients are not let in while the other nodes are looked for, how long these may take to get the histories when this one ends, and to answer.
const (
	retireTime = time.Second
	formTime   = 2 * time.Second
	answerTime = 2 * time.Second
)

// newNodes prepares the server to be a node, if its config says so.
func newNodes(c *config.Config, e *channels.Endpoint, load func() cluster.Load, log *slog.Logger) (n *nodes, err error) {
	if c.Cluster.Name == "" {
		return nil, nil
	}
	n = &nodes{downAfter: c.Cluster.DownAfter, endpoint: e, load: load, log: log}
	if n.options, n.certificate, err = meshOptions(c, log); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return n, nil
}

// open begins to be part of the cluster. It is called before anybody uses the hub.
func (n *nodes) open() (err error) {
	if n == nil {
		return nil
	}
	if n.mesh, err = bus.OpenMesh(n.options); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	e := n.endpoint
	n.node, err = cluster.New(cluster.Options{
		Name: n.options.Node, Version: version(), Carrier: cluster.Over(n.mesh), Hub: e.Hub, Presence: e.Presence, DownAfter: n.downAfter, Load: n.load, Late: true,
		Disconnect: func(id string) { e.DisconnectHere(id) },
		Answers: map[string]cluster.Answer{
			methodDisconnect: n.answerDisconnect, methodTopics: n.answerTopics, methodHistory: n.answerHistory, methodPurge: n.answerPurge,
		},
		Waits: map[string]cluster.Answer{methodPoll: n.answerPolled, methodAdmin: n.answerAdmin},
		Log:   n.log,
	})
	if err == nil {
		err = e.Presence.Connect(presence.Replica{Name: n.options.Node, Incarnation: n.node.Life()}, n.node.Changed)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cluster: %w", err), n.mesh.Close())
	}
	e.OnDisconnect(n.node.Disconnect)
	n.node.Start()
	return nil
}

// signed adds the node's name at the end of each line.
type signed struct {
	slog.Handler
	node slog.Attr
}

func (h signed) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	r.AddAttrs(h.node)
	return h.Handler.Handle(ctx, r)
}

func (h signed) WithAttrs(list []slog.Attr) slog.Handler {
	return signed{h.Handler.WithAttrs(list), h.node}
}

func (h signed) WithGroup(name string) slog.Handler { return signed{h.Handler.WithGroup(name), h.node} }

// version is that of the program, for people.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	text := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (text == "" || text == "(devel)") {
			text = s.Value[:min(len(s.Value), 12)]
		}
	}
	return text
}

// loadOf is what this node has to do.
func loadOf(g *gateway.Gateway, h *channels.Hub) cluster.Load {
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(memory)
	return cluster.Load{
		Connections: g.Stats().Connections, Topics: h.Used(), Memory: int64(memory[0].Value.Uint64() - memory[1].Value.Uint64()),
	}
}

// form waits until another node is there, or it seems that there is none.
func (n *nodes) form(ctx context.Context) {
	if n == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, formTime)
	defer cancel()
	if n.mesh.Up(ctx) != nil || n.options.URL == "" && len(n.mesh.Routes()) == 0 {
		return // it says itself what is wrong, and has looked for its seeds before it is up
	}
	n.node.Met(ctx)
}

// order has this node take its share of the topics with history: which those are is known now, as the plugins are there.
func (n *nodes) order() {
	if n != nil {
		n.node.Order()
	}
}

// retire gives the histories in memory to the other nodes, as this one is about to end.
func (n *nodes) retire(ctx context.Context) {
	if n == nil || n.node == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, retireTime)
	defer cancel()
	n.node.Retire(ctx)
}

// close leaves the cluster.
func (n *nodes) close() error {
	if n == nil || n.node == nil {
		return nil
	}
	n.node.Close()
	if err := n.mesh.Close(); err != nil {
		return fmt.Errorf("close mesh: %w", err)
	}
	return nil
}

// reason returns why the server is not ready, or "".
func (n *nodes) reason() string {
	if n != nil && n.mesh != nil && n.mesh.Err() != nil {
		return "the other nodes cannot be reached"
	}
	return ""
}

// Nodes implements [admin.Nodes].
func (n *nodes) Nodes() ([]admin.Node, error) {
	if n == nil {
		return nil, admin.ErrNoCluster
	}
	var list []admin.Node
	for _, m := range n.node.Members() {
		a := admin.Node{
			Name: m.Name, State: string(m.State), Since: m.Since, Version: m.Version, Connections: m.Load.Connections, Topics: m.Load.Topics, Memory: m.Load.Memory,
			Trip: m.Trip, Waiting: m.Waiting, Cause: m.Cause,
		}
		if cause := n.mesh.Status().Cause; cause != nil && m.State == cluster.Self {
			a.Cause = "other nodes cannot be reached: " + cause.Error()
		}
		list = append(list, a)
	}
	return list, nil
}

// ForgetNode implements [admin.Nodes].
func (n *nodes) ForgetNode(name, by string) error {
	if n == nil {
		return admin.ErrNoCluster
	}
	if !n.node.Forget(name) {
		return fmt.Errorf("no node %.100q is away: a node that is there has to end before it can be removed; rtd nodes lists them", name)
	}
	n.log.Info("node removed", "peer", name, "by", by)
	return nil
}

// AskNode implements [admin.Nodes].
func (n *nodes) AskNode(ctx context.Context, name string, q admin.Question) (a admin.Answer, err error) {
	if n == nil {
		return a, admin.ErrNoCluster
	}
	if name == n.options.Node {
		return n.admin.answer(ctx, q)
	}
	body, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	answer, err := n.node.Ask(ctx, name, methodAdmin, body)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(answer, &a)
}

func (n *nodes) answerAdmin(ctx context.Context, from string, body []byte) ([]byte, error) {
	var q admin.Question
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	q.By += "@" + from
	a, err := n.admin.answer(ctx, q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(a)
}

// The questions that nodes ask each other for operators and back ends. Their bodies are JSON, but for the id of disconnect.
const (
	methodDisconnect = "disconnect"
	methodTopics     = "topics"
	methodHistory    = "history.page"
	methodPurge      = "history.purge"
	methodPoll       = "poll"
	methodAdmin      = "admin"
)

// all stands for all other nodes.
const all = ""

type topicsQuery struct {
	Prefix, After string
	Limit         int
}

type historyQuery struct {
	Topic string
	After uint64 // or, to purge, the first that stays
	Limit int
}

type historyAnswer struct {
	Page  channels.HistoryPage
	Found bool
}

// ask asks another node, or all others that are there, and calls take with the answers, one after the other.
func (n *nodes) ask(ctx context.Context, node, method string, body []byte, take func(answer []byte)) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, m := range n.node.Members() {
		if m.State != cluster.There || node != all && node != m.Name {
			continue
		}
		asked.Go(func() {
			answer, err := n.node.Ask(ctx, m.Name, method, body)
			if err != nil {
				n.log.Warn("node does not answer", "peer", m.Name, "question", method, "cause", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			take(answer)
		})
	}
	asked.Wait()
}

// disconnect is [channels.Endpoint.Disconnect] that counts.
func (n *nodes) disconnect(ctx context.Context, id string) (count int) {
	n.ask(ctx, all, methodDisconnect, []byte(id), func(answer []byte) {
		var there int
		if json.Unmarshal(answer, &there) == nil {
			count += there
		}
	})
	return count
}

func (n *nodes) answerDisconnect(_ context.Context, _ string, id []byte) ([]byte, error) {
	return json.Marshal(n.endpoint.DisconnectHere(string(id)))
}

// topics adds those of other nodes to a list.
func (n *nodes) topics(ctx context.Context, list []channels.TopicMembers, prefix, after string, limit int) []channels.TopicMembers {
	members := map[string]int{}
	for _, t := range list {
		members[t.Topic] = t.Members
	}
	body, err := json.Marshal(topicsQuery{prefix, after, limit})
	if err != nil {
		return list
	}
	n.ask(ctx, all, methodTopics, body, func(answer []byte) {
		var there []channels.TopicMembers
		if json.Unmarshal(answer, &there) == nil {
			for _, t := range there {
				members[t.Topic] += t.Members
			}
		}
	})
	list = make([]channels.TopicMembers, 0, len(members))
	for topic, k := range members {
		list = append(list, channels.TopicMembers{Topic: topic, Members: k})
	}
	slices.SortFunc(list, func(a, b channels.TopicMembers) int { return strings.Compare(a.Topic, b.Topic) })
	return list[:min(len(list), limit)]
}

func (n *nodes) answerTopics(_ context.Context, _ string, body []byte) ([]byte, error) {
	var q topicsQuery
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	return json.Marshal(n.endpoint.Hub.Topics(q.Prefix, q.After, max(0, min(q.Limit, math.MaxInt32))))
}

// history is [channels.Hub.History] at the node that orders the topic. asked is false if that is this one.
func (n *nodes) history(ctx context.Context, topic string, after uint64, limit int) (page channels.HistoryPage, found, asked bool, err error) {
	owner := n.node.OwnerName(topic)
	if owner == "" || n.endpoint.Hub.HistoryIsHere(topic) {
		return page, false, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	body, err := json.Marshal(historyQuery{topic, after, limit})
	if err != nil {
		return page, false, true, err
	}
	answer, err := n.node.Ask(ctx, owner, methodHistory, body)
	if err != nil {
		return page, false, true, err
	}
	var a historyAnswer
	err = json.Unmarshal(answer, &a)
	return a.Page, a.Found, true, err
}

// mostPaged bounds a page that another node asks for, so that it can be sent.
const mostPaged = 1 << 20

func (n *nodes) answerHistory(_ context.Context, _ string, body []byte) ([]byte, error) {
	var q historyQuery
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	page, found := n.endpoint.Hub.History(q.Topic, q.After, q.Limit)
	size := 0
	for i := range page.Messages {
		if size += len(page.Messages[i].Payload) + len(page.Messages[i].Event); size > mostPaged && i > 0 {
			page.Messages = page.Messages[:i]
			break
		}
	}
	return json.Marshal(historyAnswer{page, found})
}

// purge purges at another node, or at all others, what they have of a topic.
func (n *nodes) purge(ctx context.Context, node, topic string, before uint64) (found bool) {
	body, err := json.Marshal(historyQuery{Topic: topic, After: before})
	if err != nil {
		return false
	}
	n.ask(ctx, node, methodPurge, body, func(answer []byte) { found = found || string(answer) == "true" })
	return found
}

func (n *nodes) answerPurge(ctx context.Context, _ string, body []byte) ([]byte, error) {
	var q historyQuery
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	found, err := n.endpoint.Hub.PurgeHistory(ctx, q.Topic, q.After)
	if err != nil {
		return nil, err
	}
	return json.Marshal(found)
}

// name is that of this node, or "".
func (n *nodes) name() string {
	if n == nil {
		return ""
	}
	return n.options.Node
}

// poll implements [longpoll.Elsewhere].
func (n *nodes) poll(ctx context.Context, node string, q longpoll.Request) ([]byte, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	answer, err := n.node.Ask(ctx, node, methodPoll, body)
	if errors.Is(err, cluster.ErrBusy) {
		err = fmt.Errorf("%w: %w", longpoll.ErrLater, err)
	}
	return answer, err
}

func (n *nodes) answerPolled(ctx context.Context, _ string, body []byte) ([]byte, error) {
	var q longpoll.Request
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	return n.answerPoll(ctx, q)
}

// everywhere is the hub of all nodes, for back ends and operators. nodes may be nil.
type everywhere struct {
	*channels.Endpoint
	nodes *nodes
}

func (w everywhere) topics(ctx context.Context, prefix, after string, limit int) (list []api.Topic) {
	found := w.Hub.Topics(prefix, after, limit)
	if w.nodes != nil {
		found = w.nodes.topics(ctx, found, prefix, after, limit)
	}
	for _, t := range found {
		list = append(list, api.Topic(t))
	}
	return list
}

func (w everywhere) disconnect(ctx context.Context, id string) int {
	if w.nodes == nil {
		return w.Disconnect(id)
	}
	return w.DisconnectHere(id) + w.nodes.disconnect(ctx, id)
}

func (w everywhere) history(ctx context.Context, topic string, after uint64, limit int) (channels.HistoryPage, bool, error) {
	if w.nodes != nil {
		if page, found, asked, err := w.nodes.history(ctx, topic, after, limit); asked {
			return page, found, err
		}
	}
	if err := w.Hub.AwaitHistory(ctx, topic); err != nil {
		return channels.HistoryPage{}, false, err
	}
	page, ok := w.Hub.History(topic, after, limit)
	return page, ok, nil
}

func (w everywhere) purge(ctx context.Context, topic string, before uint64) (bool, error) {
	if w.nodes == nil {
		return w.Hub.PurgeHistory(ctx, topic, before)
	}
	there := false
	if owner := w.nodes.node.OwnerName(topic); owner != "" { // it goes first, or others could learn it again
		there = w.nodes.purge(ctx, owner, topic, before)
	}
	here, err := w.Hub.PurgeHistory(ctx, topic, before)
	return w.nodes.purge(ctx, all, topic, before) || here || there, err
}
