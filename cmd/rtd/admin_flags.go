package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"rtd/host/admin"
	"rtd/host/config"
)

// adminFlags say which server a command asks.
type adminFlags struct{ config, plugins, admin, keyFile, node string }

// whichServer is the end of the help of such commands.
const whichServer = `

The server is found by its config: run this where it runs, or give it the same
--config and --plugins; or say --admin with the path of its socket, or with the URL
of admin.listen, such as http://127.0.0.1:4001, and put the key into RTD_ADMIN_KEY.`

func (f *adminFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "", "config `file` of the server (default config.toml, which may be absent)")
	cmd.Flags().StringVar(&f.plugins, "plugins", "", "`folder` of plugins, if the server was given one")
	f.addTarget(cmd)
}

// addTarget adds the flags that name a server other than by its config.
func (f *adminFlags) addTarget(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.admin, "admin", "", "`path` of the server's admin socket, or URL")
	cmd.Flags().StringVar(&f.keyFile, "key-file", "", "`file` with the key for a URL (default: the key is in RTD_ADMIN_KEY)")
}

// addNode adds the flag that names another node of the cluster than the server that is found.
func (f *adminFlags) addNode(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.node, "node", "", "`name` of the node of the server's cluster that is asked about, or all (default the server itself)")
}

// allNodes is the word for all nodes of a cluster.
const allNodes = "all"

// eachNode calls f for the node that is asked about, or for all that are there, with a client for it. name is "" if it is the server itself, and nobody
// has said a node.
func (f *adminFlags) eachNode(ctx context.Context, do func(name string, c *admin.Client) error) error {
	c, err := f.connect()
	if err != nil {
		return err
	}
	if f.node != allNodes {
		return do(f.node, c.On(f.node))
	}
	names, err := nodesThere(ctx, c)
	for _, name := range names {
		if err == nil {
			err = do(name, c.On(name))
		}
	}
	return err
}

// nodesThere returns the names of all nodes that are there.
func nodesThere(ctx context.Context, c *admin.Client) (names []string, err error) {
	list, err := c.Nodes(ctx)
	for _, n := range list {
		if n.State == admin.NodeSelf || n.State == admin.NodeThere {
			names = append(names, n.Name)
		}
	}
	return names, err
}

func (f *adminFlags) connect() (*admin.Client, error) {
	target := admin.Target{By: os.Getenv("USER")}
	if u, err := user.Current(); err == nil {
		target.By = u.Username
	}
	switch {
	case strings.Contains(f.admin, "://"):
		target.URL, target.Key = f.admin, os.Getenv("RTD_ADMIN_KEY")
		if f.keyFile != "" {
			key, err := os.ReadFile(f.keyFile)
			if err != nil {
				return nil, fmt.Errorf("read key: %w", err)
			}
			target.Key = strings.TrimSpace(strings.TrimPrefix(string(key), "\ufeff"))
		}
	case f.admin != "":
		target.Paths = []string{f.admin}
	default:
		file := f.config
		if file == "" {
			file = defaultConfig
		}
		c, err := config.Load(file)
		if f.config == "" && errors.Is(err, fs.ErrNotExist) {
			c, err = config.Default(), nil
		}
		if err != nil {
			return nil, err
		}
		if f.plugins != "" {
			c.Plugins.Dir = f.plugins
		}
		target.Paths = admin.SocketPaths(c.Admin.Socket, c.Plugins.Dir)
	}
	return admin.Connect(target)
}

// complete offers the names of the server's plugins to a shell, as the first argument.
func (f *adminFlags) complete(cmd *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
	if c, err := f.connect(); err == nil && len(args) == 0 {
		list, _ := c.Plugins(cmd.Context()) // a shell cannot show an error
		for _, p := range list {
			names = append(names, p.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// printJSON is for the flag --json.
func printJSON(out io.Writer, value any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// plain is a text as a terminal may get it: what comes from a guest can hold
// anything, such as the codes that move its cursor.
func plain(text string) string {
	const longest = 60 // runes
	if utf8.RuneCountInString(text) > longest {
		text = string([]rune(text)[:longest-1]) + "…"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) || r == utf8.RuneError }) {
		return strconv.QuoteToASCII(text)
	}
	return text
}

// short writes a large number with a suffix: 64K, 1.5M.
func short(n int64, unit int64) string {
	if n < unit {
		return strconv.FormatInt(n, 10)
	}
	value := float64(n)
	suffix := ""
	for _, suffix = range []string{"K", "M", "G", "T"} {
		if value /= float64(unit); value < float64(unit) {
			break
		}
	}
	if value < 10 {
		return strconv.FormatFloat(value, 'f', 1, 64) + suffix
	}
	return strconv.FormatFloat(value, 'f', 0, 64) + suffix
}

func shortBytes(n int64) string { return short(n, 1024) }
