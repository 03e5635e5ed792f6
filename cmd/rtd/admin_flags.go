package main

import (
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
type adminFlags struct{ config, plugins, admin, keyFile string }

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
