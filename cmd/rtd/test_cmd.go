package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"rtd/cmd/rtd/author"
	"rtd/cmd/rtd/script"
	"rtd/cmd/rtd/stage"
)

// testRun is one call of rtd test.
type testRun struct {
	config, only string
	timeout      time.Duration
	parallel     int
}

func testCommand() *cobra.Command {
	var t testRun
	cmd := &cobra.Command{
		Use:   "test [DIR|FILE.wasm [SCRIPT...]]",
		Short: "Run a plugin's tests",
		Long: `rtd test builds the plugin in DIR and runs the scripts DIR/test/*.rtd against it, in
the real sandbox, under the real supervisors, without sockets. Of a FILE.wasm it takes
the scripts in the folder test beside it. Plugins that it depends on are taken from
that folder too, as NAME.wasm.

` + script.Format,
		Example: `  rtd test room
  rtd test room --run crash
  rtd test room.wasm smoke.rtd`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&t.only, "run", "", "run only scripts whose names match this `regexp`")
	f.DurationVar(&t.timeout, "timeout", 5*time.Second, "how long a step may wait")
	f.IntVar(&t.parallel, "parallel", runtime.GOMAXPROCS(0), "`scripts` that run at a time")
	configFlag(cmd, &t.config)
	return cmd
}

func (t *testRun) run(cmd *cobra.Command, args []string) error {
	only, err := regexp.Compile(t.only)
	if err != nil {
		return usageError{fmt.Errorf("--run: %w", err)}
	}
	if t.parallel < 1 || t.timeout <= 0 {
		return usageError{errors.New("--parallel and --timeout have to be more than 0")}
	}
	o, dir, err := t.subject(cmd, folderOf(args))
	if err != nil {
		return err
	}
	o.Timeout = t.timeout
	files := args[min(len(args), 1):]
	if len(files) == 0 {
		if files, err = inFolder(dir, ".rtd"); err != nil {
			return err
		}
	}
	files = slices.DeleteFunc(files, func(file string) bool { return !only.MatchString(filepath.Base(file)) })
	if len(files) == 0 {
		return fmt.Errorf("there are no scripts %s: see rtd test -h for how to write one", filepath.Join(dir, "*.rtd"))
	}
	scripts, err := parseAll(files)
	if err != nil {
		return err
	}
	if o.Engine, err = stage.Engine(o.Config); err != nil {
		return err
	}
	err = t.play(cmd.Context(), cmd.OutOrStdout(), scripts, o)
	return errors.Join(err, o.Engine.Close(context.Background()))
}

// subject builds or reads what is to be tested, and says where its scripts are.
func (t *testRun) subject(cmd *cobra.Command, what string) (o script.Options, scripts string, err error) {
	dir, module := what, ""
	if info, err := os.Stat(what); err == nil && !info.IsDir() {
		dir, module = filepath.Dir(what), what
	}
	if o.Config, err = author.LoadConfig(t.config, dir); err != nil {
		return o, "", err
	}
	scripts = filepath.Join(dir, "test")
	if o.Modules, err = companions(scripts); err != nil {
		return o, "", err
	}
	var wasm []byte
	if module != "" {
		o.Plugin = pluginName(module)
		wasm, err = moduleIn(module)
	} else {
		o.Plugin, wasm, err = t.build(cmd, dir, o)
	}
	o.Modules[o.Plugin] = wasm
	return o, scripts, err
}

// build makes the module in a place of its own, so that no server that watches DIR deploys it.
func (t *testRun) build(cmd *cobra.Command, dir string, o script.Options) (name string, wasm []byte, err error) {
	p, err := author.Open(dir)
	if err != nil {
		return "", nil, err
	}
	work, err := os.MkdirTemp("", "rtd-test-")
	if err != nil {
		return "", nil, err
	}
	defer os.RemoveAll(work)
	built, err := p.Build(cmd.Context(), author.BuildOptions{
		Out: filepath.Join(work, p.Name+".wasm"), Config: o.Config, Messages: cmd.ErrOrStderr(),
	})
	if err != nil {
		return "", nil, err
	}
	wasm, err = os.ReadFile(built.File)
	return p.Name, wasm, err
}

// companions are the modules in a folder of tests, by the names of their plugins.
func companions(dir string) (map[string][]byte, error) {
	found := map[string][]byte{}
	files, err := inFolder(dir, ".wasm")
	for _, file := range files {
		if err == nil {
			found[pluginName(file)], err = moduleIn(file)
		}
	}
	return found, err
}

// inFolder lists the files of a folder that end so, in order. No folder has none.
func inFolder(dir, ending string) (files []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) == ending && entry.Name()[0] != '.' {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	return files, err
}

func parseAll(files []string) (scripts []*script.Script, err error) {
	var wrong []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read script: %w", err)
		}
		s, err := script.Parse(file, text)
		wrong = append(wrong, err)
		scripts = append(scripts, s)
	}
	return scripts, errors.Join(wrong...)
}

// play runs the scripts, some at a time, and prints each result when it and those before it are there.
func (t *testRun) play(ctx context.Context, out io.Writer, scripts []*script.Script, o script.Options) error {
	results := make([]chan script.Result, len(scripts))
	places := make(chan struct{}, t.parallel)
	var all sync.WaitGroup
	defer all.Wait()
	for i, s := range scripts {
		results[i] = make(chan script.Result, 1)
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			results[i] <- script.Run(ctx, s, o)
		})
	}
	begin, failures := time.Now(), 0
	for _, result := range results {
		r := <-result
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if r.Failure != nil {
			failures++
			if err := r.Failure.Write(out); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(out, "ok    %s  %d steps, %v\n", r.Script.Name, r.Script.Steps(), r.Took.Round(time.Millisecond))
	}
	if failures > 0 {
		return fmt.Errorf("%d of %d scripts failed", failures, len(scripts))
	}
	_, err := fmt.Fprintf(out, "all %d scripts passed, in %v\n", len(scripts), time.Since(begin).Round(time.Millisecond))
	return err
}
