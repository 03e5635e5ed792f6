package author

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rtd/cmd/rtd/stage"
	"rtd/host/config"
	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/manifest"
)

// BuildOptions say how to build a project.
type BuildOptions struct {
	Out      string         // the module; default [Project.Output]
	Config   *config.Config // whose [plugin.NAME.config] the guest is started with; default: the defaults
	Messages io.Writer      // what compilers say
}

// Built is what came of a build.
type Built struct {
	File     string
	Size     int // in bytes
	Manifest manifest.Manifest
	Took     time.Duration
}

// Build makes the module of a project: it compiles, starts the result once, compares its topics with those of
// rtd.toml, and writes the manifest into it. The file is replaced in one step, and left as it is after an error. It
// ends early, with the compilers that it started, when ctx does.
func (p *Project) Build(ctx context.Context, o BuildOptions) (*Built, error) {
	begin := time.Now()
	if o.Out == "" {
		o.Out = p.Output()
	}
	if o.Messages == nil {
		o.Messages = io.Discard
	}
	work, err := os.MkdirTemp("", "rtd-build-")
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", p.Dir, err)
	}
	defer os.RemoveAll(work)
	made := filepath.Join(work, "plugin.wasm")
	if err := p.language.build(ctx, p, made, o.Messages); err != nil {
		return nil, err
	}
	wasm, err := os.ReadFile(made)
	if err != nil {
		return nil, fmt.Errorf("build %s: the compiler has made no module: %w", p.Dir, err)
	}
	// Of what is not run, names are for stack traces; the rest is for linkers and debuggers.
	if wasm, err = manifest.Strip(wasm, "name"); err != nil {
		return nil, err
	}
	// With its manifest as far as it is known, which most often is all: what is compiled now is in the cache then.
	if wasm, err = manifest.Write(wasm, p.manifest(p.asked())); err != nil {
		return nil, err
	}
	declared, err := p.declared(ctx, wasm, o.Config)
	if err != nil {
		return nil, err
	}
	if err := p.compare(declared); err != nil {
		return nil, err
	}
	if len(p.Topics) > 0 {
		declared.topics = p.Topics // the same, in the author's order
	}
	if len(p.Durable) > 0 {
		declared.durable = p.Durable
	}
	if len(p.History) > 0 {
		declared.history = p.History
	}
	b := &Built{File: o.Out, Manifest: p.manifest(declared)}
	if wasm, err = manifest.Write(wasm, b.Manifest); err != nil {
		return nil, err
	}
	if err := replace(o.Out, wasm); err != nil {
		return nil, fmt.Errorf("write the module: %w", err)
	}
	b.Size, b.Took = len(wasm), time.Since(begin)
	return b, nil
}

// declarations are what a guest says in its start event.
type declarations struct {
	topics, depends, durable, history []string
	connect                           bool
}

// asked are the declarations that rtd.toml asks for.
func (p *Project) asked() declarations {
	return declarations{topics: p.Topics, durable: p.Durable, history: p.History}
}

// declared starts the guest once, as a server would.
func (p *Project) declared(ctx context.Context, wasm []byte, c *config.Config) (d declarations, err error) {
	if c == nil {
		c = config.Default()
	}
	engine, err := stage.Engine(c)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, engine.Close(context.Background())) }()
	table := c.Plugin(p.Name)
	module, err := engine.Load(ctx, wasm, sandbox.LoadOptions{
		Name: p.Name, Version: p.Version, Config: table.ConfigJSON(),
		Limits: sandbox.Limits{Memory: table.Memory, Deadline: table.Deadline},
	})
	if err != nil {
		if _, trapped := errors.AsType[*sandbox.Trap](err); trapped {
			err = fmt.Errorf("%w\nit was started with [plugin.%s.config] of %s; name another one with --config", err, p.Name, ConfigFile)
		}
		return d, err
	}
	defer module.Close()
	d.topics = module.Topics()
	for _, e := range module.Declared() {
		switch {
		case e.Kind == abi.EffectDepends:
			d.depends = append(d.depends, e.Name)
		case e.Kind == abi.EffectDurable && !slices.Contains(d.durable, e.Name):
			d.durable = append(d.durable, e.Name)
		case e.Kind == abi.EffectHistory && !slices.Contains(d.history, e.Name):
			d.history = append(d.history, e.Name)
		case e.Kind == abi.EffectWants && e.Name == abi.EventConnect.String():
			d.connect = true
		}
	}
	return d, nil
}

// compare holds what the guest declares to rtd.toml.
func (p *Project) compare(d declarations) error {
	file := filepath.Join(p.Dir, config.ProjectFile)
	for _, c := range []struct {
		key       string
		want, has []string
	}{{"topics", p.Topics, d.topics}, {"durable", p.Durable, d.durable}, {"history", p.History, d.history}} {
		if len(c.want) > 0 && !slices.Equal(slices.Sorted(slices.Values(c.want)), slices.Sorted(slices.Values(c.has))) {
			return fmt.Errorf("%s says %s = %s, and the code declares %s: change one of them", file, c.key, list(c.want), list(c.has))
		}
	}
	for _, name := range d.depends {
		if !slices.Contains(p.Capabilities.Depends, name) {
			return fmt.Errorf("the code depends on the plugin %s: ask for it, with depends = %s in [capabilities] of %s",
				name, list(append(slices.Clone(p.Capabilities.Depends), name)), file)
		}
	}
	if d.connect && !p.Capabilities.Connect {
		return fmt.Errorf("the code wants to be asked about clients: ask for that, with connect = true in [capabilities] of %s", file)
	}
	return nil
}

// list writes texts as TOML has them.
func list(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = fmt.Sprintf("%q", text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// replace writes a file in one step, so that a server that watches it sees all of it or nothing.
func replace(name string, data []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), ".rtd-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // unless it was renamed
	_, err = file.Write(data)
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}
