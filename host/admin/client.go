package admin

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"rtd/host/httpapi"
)

// Target is the address of a server, and the name of the asker.
type Target struct {
	Paths []string // of Unix sockets, tried in order
	URL   string   // in place of Paths, such as https://example.com:4001
	Key   string   // for URL
	By    string   // the user's name; a Unix socket tells it, where it can
}

// Client asks a server. Its methods may be called from any goroutine; their errors are
// texts for people.
type Client struct {
	http  *http.Client
	base  string // of URLs
	where string
	key   string
	by    string
	node  string // that is asked about; "": the server itself
}

// Connect finds a server. A server must listen at a path; a URL is not tried yet.
func Connect(t Target) (*Client, error) {
	c := &Client{http: &http.Client{}, base: t.URL, where: t.URL, key: t.Key, by: t.By}
	if t.URL != "" {
		u, err := url.Parse(t.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("%q is no URL of a server; want one such as http://127.0.0.1:4001", t.URL)
		}
		c.base = strings.TrimSuffix(t.URL, "/")
		return c, nil
	}
	if len(t.Paths) == 0 {
		return nil, errors.New(`the config turns the admin socket off; set socket in its [admin] to "auto" and start rtd again, or say --admin`)
	}
	for _, path := range t.Paths {
		conn, err := dial(context.Background(), path)
		if err == nil {
			conn.Close()
			c.where, c.base = path, "http://rtd"
			c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) }}
			return c, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("connect to %s: permission denied; be the user that runs rtd, or root", path)
		}
	}
	return nil, fmt.Errorf("no server listens at %s; start rtd, or say --admin with the path of its socket, or --config with its config file", t.Paths[0])
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	if err := checkPlace(path); err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}

// Plugins lists the plugins by name.
func (c *Client) Plugins(ctx context.Context) (list []Plugin, err error) {
	return list, c.ask(ctx, "GET", "plugins", nil, nil, &list)
}

// Versions lists the kept versions of a plugin, the latest deploy first.
func (c *Client) Versions(ctx context.Context, plugin string) (list []Version, err error) {
	return list, c.ask(ctx, "GET", "versions", url.Values{"plugin": {plugin}}, nil, &list)
}

// Processes returns the trees of a plugin, or of all if its name is "".
func (c *Client) Processes(ctx context.Context, plugin string) (trees []Process, err error) {
	return trees, c.ask(ctx, "GET", "processes", url.Values{"plugin": {plugin}}, nil, &trees)
}

// Deploy makes a module the current version of a plugin.
func (c *Client) Deploy(ctx context.Context, plugin string, wasm []byte) (d Deployed, err error) {
	return d, c.ask(ctx, "POST", "deploy", url.Values{"plugin": {plugin}}, wasm, &d)
}

// DryRun tries a module as Deploy would, and how the live processes would move to it.
func (c *Client) DryRun(ctx context.Context, plugin string, wasm []byte) (d Deployed, err error) {
	return d, c.ask(ctx, "POST", "deploy", url.Values{"plugin": {plugin}, "dry": {"1"}}, wasm, &d)
}

// DeployAndWait is Deploy, calls begun, and waits for the verdict on the version: until
// it is trusted or taken back.
func (c *Client) DeployAndWait(ctx context.Context, plugin string, wasm []byte, begun func(Deployed)) (v Verdict, err error) {
	answer, err := c.open(ctx, "POST", "deploy", url.Values{"plugin": {plugin}, "wait": {"1"}}, wasm)
	if err != nil {
		return v, err
	}
	defer answer.Close()
	values := json.NewDecoder(answer)
	var d Deployed
	if err := values.Decode(&d); err != nil {
		return v, fmt.Errorf("read the answer of %s: %w", c.where, err)
	}
	begun(d)
	if err := values.Decode(&v); err != nil {
		return v, fmt.Errorf("version %s runs, but what becomes of it is not known: the connection to %s is lost: %w", d.Version, c.where, err)
	}
	return v, nil
}

// Rollback makes a version current again: the one whose hash begins with to, or with
// "" the last good one.
func (c *Client) Rollback(ctx context.Context, plugin, to string) (d Deployed, err error) {
	return d, c.ask(ctx, "POST", "rollback", url.Values{"plugin": {plugin}, "to": {to}}, nil, &d)
}

// Health reports whether the server serves.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	return h, c.ask(ctx, "GET", "health", nil, nil, &h)
}

// Bus returns the state of the bus.
func (c *Client) Bus(ctx context.Context) (b Bus, err error) {
	return b, c.ask(ctx, "GET", "bus", nil, nil, &b)
}

// LogLine is a line of a server's log, or a gap in it.
type LogLine struct {
	JSON []byte // one object; nil of a gap
	Lost uint64 // lines that this reader was too slow for
}

// LogQuery says which lines to read.
type LogQuery struct {
	Plugin string // "" is all, and those that are about none
	Level  string // debug, info, warn or error; "" is info
	Lines  int    // of those that were there before, at most; the server keeps 1,000
	Follow bool   // go on with those that come
}

// Logs reads lines. It ends with an error, or without one when there are no more:
// with Follow, when the server ends.
func (c *Client) Logs(ctx context.Context, q LogQuery) iter.Seq2[LogLine, error] {
	return func(yield func(LogLine, error) bool) {
		query := url.Values{"plugin": {q.Plugin}, "level": {q.Level}, "lines": {strconv.Itoa(q.Lines)}}
		if q.Follow {
			query.Set("follow", "1")
		}
		body, err := c.open(ctx, "GET", "logs", query, nil)
		if err != nil {
			yield(LogLine{}, err)
			return
		}
		defer body.Close()
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 2*maxLine)
		for lines.Scan() {
			var gap loss
			line := LogLine{JSON: bytes.Clone(lines.Bytes())}
			if json.Unmarshal(line.JSON, &gap) == nil && gap.Lost > 0 {
				line = LogLine{Lost: gap.Lost}
			}
			if !yield(line, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil && ctx.Err() == nil {
			yield(LogLine{}, fmt.Errorf("read log: %w", err))
		}
	}
}

// ask makes a request and decodes the answer.
func (c *Client) ask(ctx context.Context, method, what string, query url.Values, body []byte, into any) error {
	answer, err := c.open(ctx, method, what, query, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if err := json.NewDecoder(answer).Decode(into); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.where, err)
	}
	return nil
}

// open makes a request and returns the body of the answer.
func (c *Client) open(ctx context.Context, method, what string, query url.Values, body []byte) (io.ReadCloser, error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("by", c.by)
	if c.node != "" {
		query.Set("node", c.node)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+"/admin/"+what+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the server at %s: %w", c.where, errors.Unwrap(err))
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	var p httpapi.Problem
	_ = json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&p) // of another server, perhaps
	return nil, errors.New(cmp.Or(p.Error, fmt.Sprintf("%s answers %s; is it the admin address of an rtd?", c.where, response.Status)))
}
