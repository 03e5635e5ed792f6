package host

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rtd/host/app"
	"rtd/host/bus"
	"rtd/host/cluster"
	"rtd/host/durable/store"
	"rtd/host/release"
)

// newMetrics returns the handler of /metrics. The packages below know nothing of
// Prometheus; their Stats are read when somebody asks.
func newMetrics(s *Server) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{s})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

type collector struct{ server *Server }

// metric is one family: what it is called, what it means, its labels.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("rtd_"+name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("rtd_"+name, help, labels, nil), prometheus.CounterValue}
}

var (
	mConnections = gauge("connections", "Connections, those about to be accepted included.")
	mChannels    = gauge("channels", "Channels, joining ones included.")
	mProcesses   = gauge("processes", "Live processes.")
	mQueued      = gauge("processes_ready", "Processes that wait for a scheduler.")
	mHandovers   = counter("scheduler_handovers_total", "Times that a process outlived its slice while others waited.")
	mPoller      = gauge("poller_info", "How connections are waited for.", "kind")
	mVisitors    = gauge("visitors", "Connections that are none of these, or not yet: they connect, ask or poll.")
	mPolls       = gauge("longpoll_sessions", "Sessions of clients that poll, which are no connections.")
	mSlowPolls   = counter("longpoll_sessions_slow_total", "Such sessions that rtd ended because too much waited for them.")
	mAccepted    = counter("connections_accepted_total", "Connections accepted, and sessions of clients that poll.")
	mRefused     = counter("connections_refused_total", "Connections refused before the upgrade, by cause.", "cause")
	mClosed      = counter("connections_closed_total", "Connections that rtd closed, by close code and cause.", "code", "cause")
	mMalformed   = counter("malformed_frames_total", "Frames that ended their connection.")
	mIn          = counter("messages_in_total", "Messages from clients.")
	mOut         = counter("messages_out_total", "Messages written to clients.")
	mDirect      = counter("replies_and_pushes_total", "Replies and pushes sent.")
	mBroadcasts  = counter("broadcasts_total", "Broadcasts.")
	mDeliveries  = counter("deliveries_total", "Broadcasts times members that they went to.")
	mIntercepted = counter("intercepted_total", "Broadcasts that handlers took in place of their clients.")
	mPast        = gauge("history_bytes", "Bytes that the histories of all topics take, about.")
	mUnkept      = counter("history_unkept_total", "Broadcasts for which histories had no room: of the newest, or to make room for them.")
	mLingering   = gauge("lingering", "Handlers of one join that wait for their client.")
	mResumed     = counter("resumed_total", "Joins that found the handler of the one before.")
	mLingered    = counter("lingered_total", "Handlers that waited in vain, by why they ended: in time, for a newer one, for want of room for what came.", "cause")
	mRefusedSaid = counter("history_refused_total", "Broadcasts of topics with a durable history that could not be stored, and that nobody got.")
	mRecovered   = counter("history_recovered_total", "Broadcasts that clients were told after they had been away.")
	mUndelivered = counter("undelivered_total", "Messages that a client's version of the protocol, or long polling, cannot carry.")
	mOverloaded  = counter("overloaded_total", "Messages answered with overloaded.")
	mStale       = counter("stale_messages_total", "Messages for a channel that is gone, dropped.")
	mJoins       = counter("joins_total", "Joins by their result.", "result")
	mDeploys     = counter("deploys_total", "Plugin versions deployed.")
	mDeployErrs  = counter("deploy_errors_total", "Plugin versions that could not be built or deployed.")
	mRollbacks   = counter("rollbacks_total", "Plugin versions that were rolled back, by cause.", "plugin", "cause")
	mMoves       = counter("moves_total", "Processes that another version was deployed for: moved with their state, begun anew, or left where they were.", "plugin", "result")
	mReports     = counter("crash_reports_total", "Crashes of a kind that had no report: whether one was written.", "result")
	mLinesLost   = counter("log_lines_lost_total", "Lines of the log that could not be written, or came faster than they were read.")
	mReloads     = counter("config_reloads_total", "Times that config.toml was taken over.")
	mCrashes     = counter("crashes_total", "Processes that crashed, channel handlers included.", "plugin", "version")
	mRestarts    = counter("restarts_total", "Crashed processes that were started again.", "plugin", "version")
	mTraps       = counter("traps_total", "Guests that ended by error, by kind.", "plugin", "version", "kind")
	mInstances   = gauge("instances", "Live guests, of every version that has some.", "plugin", "version")
	mEvents      = counter("guest_events_total", "Events handled by guests.", "plugin", "version")
	mSlots       = gauge("slots", "Resident WebAssembly instances of the current version.", "plugin", "version")
	mMemory      = gauge("guest_memory_bytes", "Memory of guests, at work and at rest, beyond the snapshot that they share.", "plugin", "version")
	mMemoryLimit = gauge("guest_memory_limit_bytes", "What all guests of the version may have of it.", "plugin", "version")
	mPending     = gauge("guest_pending_bytes", "What guests make the host keep: messages that wait, timers, names, answers and the like.", "plugin")
	mPendingMax  = gauge("guest_pending_limit_bytes", "How much of it there may be: pending in the plugin's table.", "plugin")
	mReferences  = gauge("guest_references", "What guests have open: timers, monitors, links, subscriptions, intercepts and requests.", "plugin")
	mNames       = gauge("guest_names", "Names of processes.", "plugin")
	mRefsMax     = gauge("guest_references_limit", "How many there may be, and as many names: references in the plugin's table.", "plugin")
	mReductions  = counter("guest_reductions_total", "Reductions spent by guests.", "plugin", "version")
	mIdleBytes   = gauge("idle_state_bytes", "Memory that holds the states of idle guests.")
	mGuestTime   = counter("guest_seconds_total", "Processor time of guests, and of the host for them.", "plugin", "version")

	mBusUp             = gauge("bus_up", "Whether the bus works: 1 or 0. Like all of the bus, it is there once something needs that.")
	mBusBytes          = gauge("bus_bytes", "What the bus stores, as of some seconds ago.")
	mBusLimit          = gauge("bus_limit_bytes", "How much it may store: bus.max_bytes, or the limit of its server's account, if it has one.")
	mBusStreams        = gauge("bus_streams", "Logs and stores of the bus.")
	mBusWrites         = counter("bus_writes_total", "Writes to the bus, by kind and result.", "kind", "result")
	mBusReconnects     = counter("bus_reconnects_total", "Times that the connection to the bus was made again.")
	mDurableUp         = gauge("durable_up", "Whether durable actors can be stored: 1 or 0. Like all of them, it is there once a plugin has some.")
	mDurableCommits    = counter("durable_commits_total", "Events of durable actors that were stored, or failed to be.", "result")
	mDurableGroups     = counter("durable_groups_total", "Records of the log that they took: one synced write each.")
	mDurableDirty      = gauge("durable_dirty_bytes", "States that have changed since the last checkpoint, about.")
	mDurableLog        = gauge("durable_log_bytes", "The log since the last checkpoint, which a start reads.")
	mDurableCheckpoint = gauge("durable_checkpoint_seconds", "How long the last checkpoint took.")
	mDurableExpired    = counter("durable_expired_total", "Topics that were removed for durable_keep.")
	mDurableHistories  = gauge("durable_histories", "Topics whose broadcasts are stored.")
	mDurableHistory    = gauge("durable_history_bytes", "What the histories of topics take in the store, about.")
	mDurableActors     = gauge("durable_actors", "Durable actors that are stored, awake or not.", "plugin", "kind")
	mDurableBytes      = gauge("durable_bytes", "What is stored of a plugin, as durable_bytes counts it.", "plugin")
	mDurablePosts      = gauge("durable_messages_waiting", "Messages between durable actors that wait.", "plugin")

	mNodeInfo      = gauge("node_info", "The name of this node in its cluster.", "node")
	mNodesPresent  = gauge("cluster_presences", "Presences of other nodes, those of nodes that are away included.")
	mNodesEarly    = gauge("cluster_presences_early", "Changes of presences on other nodes that came before others, which are missing.")
	mNodesDeclined = counter("cluster_presences_declined_total", "Presences of other nodes that may not be shown here, or have no room.")
	mNodesUp       = gauge("cluster_up", "Whether other nodes can be reached: 1 or 0. Like all of the cluster, it is there if the config has one.")
	mNodes         = gauge("cluster_nodes", "Nodes of the cluster by state, this one included.", "state")
	mNodesFrames   = counter("cluster_frames_total", "Frames sent to other nodes, beats included.")
	mNodesMessages = counter("cluster_messages_total", "Messages taken from other nodes.")
	mNodesRelayed  = counter("cluster_relayed_total", "Broadcasts times nodes that they were sent to.")
	mNodesWaiting  = gauge("cluster_waiting_bytes", "What other nodes do not have yet.", "node")
	mNodesTrip     = gauge("cluster_trip_seconds", "There and back.", "node")
	mNodesRepairs  = counter("cluster_repairs_total", "Times that something between nodes was missing: asked for, or sent again.", "kind")
	mNodesLost     = counter("cluster_losses_total", "Times that messages to or from other nodes were given up: a node did not keep up, could not keep what it had for this one, "+
		"was gone when a broadcast was to be ordered, or the message was too large or malformed.", "cause")

	handlerSeconds = prometheus.NewDesc("rtd_handler_seconds", "How long guests took for an event.", []string{"plugin", "version"}, nil)
)

// Describe implements [prometheus.Collector]. The set of metrics is fixed, but
// for labels; nothing has to be checked at registration.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c collector) Collect(out chan<- prometheus.Metric) {
	put := func(m metric, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
	}
	s := c.server
	clients := s.gateway.Stats()
	put(mConnections, float64(clients.Connections))
	put(mVisitors, float64(clients.Visitors))
	put(mPoller, 1, s.gateway.Poller())
	put(mPolls, float64(clients.Polls.Sessions))
	put(mSlowPolls, float64(clients.Polls.Slow))
	put(mAccepted, float64(clients.Accepted))
	for cause, n := range clients.Refused {
		put(mRefused, float64(n), cause)
	}
	for f, n := range clients.Closed {
		put(mClosed, float64(n), strconv.Itoa(f.Code), f.Reason)
	}
	put(mOut, float64(clients.FramesOut))
	deploys := s.deployer.Counts()
	put(mDeploys, float64(deploys.Deploys))
	put(mDeployErrs, float64(deploys.Failures))
	for r, n := range deploys.Rollbacks {
		put(mRollbacks, float64(n), r.Plugin, r.Cause)
	}
	if reports := s.crashes.collector; reports != nil {
		stats := reports.Stats()
		put(mReports, float64(stats.Reports), "written")
		put(mReports, float64(stats.Unreported), "not written")
	}
	if s.linesLost != nil {
		put(mLinesLost, float64(s.linesLost()))
	}
	if b := s.bus.begun(); b != nil {
		putBus(put, b.Status())
	}
	if k := s.durables.begun(); k != nil {
		putDurables(put, k.Status())
	}
	if s.nodes != nil && s.nodes.node != nil {
		putNodes(put, s.nodes)
		present := s.endpoint.Presence.Stats()
		put(mNodesPresent, float64(present.Foreign))
		put(mNodesEarly, float64(present.Early))
		put(mNodesDeclined, float64(present.Declined))
	}
	put(mReloads, float64(s.tables.taken.Load()))

	put(mIdleBytes, float64(s.engine.Stats().IdleBytes))

	runtime := s.runtime.Stats()
	put(mProcesses, float64(runtime.Processes))
	put(mQueued, float64(runtime.Queued))
	put(mHandovers, float64(runtime.Handovers))

	e := s.endpoint.Stats()
	put(mChannels, float64(e.Channels))
	put(mMalformed, float64(e.Malformed))
	put(mIn, float64(e.MessagesIn))
	put(mDirect, float64(e.RepliesPushes))
	put(mBroadcasts, float64(e.Broadcasts))
	put(mDeliveries, float64(e.Deliveries))
	put(mIntercepted, float64(e.Intercepted))
	put(mPast, float64(e.HistoryBytes))
	put(mUnkept, float64(e.HistoryUnkept))
	put(mRefusedSaid, float64(e.HistoryRefused))
	put(mRecovered, float64(e.Recovered))
	put(mLingering, float64(e.Lingering))
	put(mResumed, float64(e.Resumed))
	put(mLingered, float64(e.LingerTimeouts), "timeout")
	put(mLingered, float64(e.LingerCrowded), "crowded")
	put(mLingered, float64(e.LingerOverflows), "overflow")
	put(mUndelivered, float64(e.Undelivered+clients.Polls.Binary))
	put(mOverloaded, float64(e.Overloaded))
	put(mStale, float64(e.Stale))
	put(mJoins, float64(e.JoinsAccepted), "ok")
	put(mJoins, float64(e.JoinsRefused), "refused")
	put(mJoins, float64(e.JoinsCrashed), "crashed")
	put(mJoins, float64(e.JoinsUnmatched), "unmatched")
	put(mJoins, float64(e.JoinsOvertaken), "overtaken")

	for _, n := range s.plugins.Crashes() {
		put(mCrashes, float64(n.Crashes), n.Plugin, n.Version)
		put(mRestarts, float64(n.Restarts), n.Plugin, n.Version)
	}
	for _, p := range s.plugins.Stats() {
		put(mInstances, float64(p.Sandbox.Live), p.Name, p.Version)
		for _, other := range p.Others {
			put(mInstances, float64(other.Instances), p.Name, other.Version)
		}
		put(mMoves, float64(p.Moves.WithState), p.Name, "state")
		put(mMoves, float64(p.Moves.Anew), p.Name, "anew")
		put(mMoves, float64(p.Moves.Stayed), p.Name, "stayed")
		put(mEvents, float64(p.Sandbox.Events), p.Name, p.Version)
		put(mSlots, float64(p.Sandbox.Slots), p.Name, p.Version)
		put(mMemory, float64(p.Sandbox.Memory), p.Name, p.Version)
		put(mMemoryLimit, float64(p.Sandbox.MemoryLimit), p.Name, p.Version)
		put(mPending, float64(p.Kept.Bytes), p.Name)
		put(mPendingMax, float64(p.Limits.Bytes), p.Name)
		put(mReferences, float64(p.Kept.Things), p.Name)
		put(mNames, float64(p.Kept.Names), p.Name)
		put(mRefsMax, float64(p.Limits.Things), p.Name)
		put(mReductions, float64(p.Sandbox.Reductions), p.Name, p.Version)
		put(mGuestTime, p.Sandbox.Time.Seconds(), p.Name, p.Version)
		for kind, n := range p.Sandbox.Traps {
			put(mTraps, float64(n), p.Name, p.Version, string(kind))
		}
		out <- histogram(p)
	}
}

func putBus(put func(m metric, value float64, labels ...string), b bus.Status) {
	up := 0.0
	if b.Cause == nil {
		up = 1
	}
	put(mBusUp, up)
	put(mBusBytes, float64(b.Bytes))
	if b.Limit > 0 {
		put(mBusLimit, float64(b.Limit))
	}
	put(mBusStreams, float64(b.Streams))
	for kind, results := range b.Operations {
		for result, n := range results {
			put(mBusWrites, float64(n), kind, result)
		}
	}
	put(mBusReconnects, float64(b.Reconnects))
}

func putNodes(put func(m metric, value float64, labels ...string), n *nodes) {
	up := 0.0
	if n.mesh.Err() == nil {
		up = 1
	}
	put(mNodeInfo, 1, n.options.Node)
	put(mNodesUp, up)
	states := map[cluster.State]int{cluster.Self: 0, cluster.There: 0, cluster.Joining: 0, cluster.Away: 0, cluster.Left: 0}
	for _, m := range n.node.Members() {
		states[m.State]++
		if m.State == cluster.There {
			put(mNodesWaiting, float64(m.Waiting), m.Name)
			put(mNodesTrip, m.Trip.Seconds(), m.Name)
		}
	}
	for state, k := range states {
		put(mNodes, float64(k), string(state))
	}
	s := n.node.Stats()
	put(mNodesFrames, float64(s.Frames))
	put(mNodesMessages, float64(s.Received))
	put(mNodesRelayed, float64(s.Relayed))
	put(mNodesRepairs, float64(s.Asked), "asked")
	put(mNodesRepairs, float64(s.Repeated), "repeated")
	put(mNodesLost, float64(s.Overflows), "overflow")
	put(mNodesLost, float64(s.Gaps), "gap")
	put(mNodesLost, float64(s.Unsent), "gone")
	put(mNodesLost, float64(s.TooLarge), "too_large")
	put(mNodesLost, float64(s.Malformed), "malformed")
}

func putDurables(put func(m metric, value float64, labels ...string), k store.Status) {
	up := 0.0
	if k.Err == nil {
		up = 1
	}
	put(mDurableUp, up)
	put(mDurableCommits, float64(k.Commits), "stored")
	put(mDurableCommits, float64(k.Failures), "failed")
	put(mDurableGroups, float64(k.Groups))
	put(mDurableDirty, float64(k.DirtyBytes))
	put(mDurableLog, float64(k.LogBytes))
	put(mDurableCheckpoint, k.Checkpoint.Seconds())
	put(mDurableExpired, float64(k.Expired))
	put(mDurableHistories, float64(k.Histories))
	put(mDurableHistory, float64(k.HistoryBytes))
	for name, p := range k.Plugins {
		put(mDurableActors, float64(p.Topics), name, "topic")
		put(mDurableActors, float64(p.Processes), name, "process")
		put(mDurableBytes, float64(p.Bytes), name)
		put(mDurablePosts, float64(p.Posts), name)
	}
}

func histogram(p app.Stats) prometheus.Metric {
	cumulative := make(map[float64]uint64, len(release.Bounds))
	var count uint64
	for i, n := range p.Latency.Buckets {
		count += n
		if i < len(release.Bounds) {
			cumulative[release.Bounds[i].Seconds()] = count
		}
	}
	return prometheus.MustNewConstHistogram(handlerSeconds, count, p.Latency.Sum.Seconds(), cumulative, p.Name, p.Version)
}
