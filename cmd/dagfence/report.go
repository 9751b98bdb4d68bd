package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dagfence/dagfence/report"
)

func reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report [FILE...]",
		Short: "Sums up decision logs: which team would lose what of whose",
		Long: `
Reads decision logs and prints what was denied, or would have been in audit mode, by
the task's team, the owner's, and what was asked for. It ends with the lines of an
ownership file that would allow it, for a person to judge.

A FILE is the log of a fence as JSON lines, plain or compressed with gzip or zstd, as
Caddy rotates it; - or no file is standard input. Lines of another kind are skipped.`,
		Args: cobra.ArbitraryArgs,
	}
	cmd.Flags().Bool("json", false, "Print JSON")
	cmd.Flags().Bool("markdown", false, "Print Markdown")
	cmd.Flags().String("html", "", "Write an HTML file instead, which needs no server and no JavaScript; - prints it")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		flags := cmd.Flags()
		switch {
		case flags.Changed("html") && cmd.Flag("html").Value.String() == "":
			return usageError{errors.New("--html is empty: name the file to write, or - to print it")}
		case flags.NFlag() > 1:
			return usageError{errors.New("--json, --markdown and --html are mutually exclusive: set one")}
		}
		if len(files) == 0 {
			if term.IsTerminal(int(os.Stdin.Fd())) {
				return usageError{errors.New("no file is named, and standard input is a terminal: name decision logs, or - to type one")}
			}
			files = []string{"-"}
		}
		return printReport(cmd, files)
	}
	return cmd
}

// printReport reads all files, and prints what could be read; then it returns what
// could not.
func printReport(cmd *cobra.Command, files []string) error {
	logs, err := openLogs(files)
	if err != nil {
		return err
	}
	collector, bar := report.NewCollector(), progress(logs)
	var errs []error
	for _, log := range logs {
		if err := collector.Read(io.TeeReader(log, bar)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", log.name, err))
		}
		_ = log.Close() // it is only read
	}
	_ = bar.Close() // it only writes to the terminal
	summary := collector.Summary()
	if len(errs) == len(logs) && summary.Decisions == 0 {
		return errors.Join(errs...)
	}
	if err := render(cmd, summary); err != nil {
		return err
	}
	if len(errs) > 0 {
		return fmt.Errorf("the report is of what could be read: %w", errors.Join(errs...))
	}
	return nil
}

// log is an open file, or standard input.
type log struct {
	*os.File
	name string
	size int64
}

// openLogs opens all files before any is read, so that a wrong name costs no time.
func openLogs(files []string) (logs []log, err error) {
	var errs []error
	for _, name := range files {
		if name == "-" {
			logs = append(logs, log{os.Stdin, "standard input", -1})
			continue
		}
		if strings.Contains(name, "://") { // maybe with a password
			return nil, usageError{errors.New("an argument is a URL: name files, or - for standard input")}
		}
		file, err := os.Open(name) //nolint:gosec // the path is the operator's own
		if err != nil {
			errs = append(errs, err)
			continue
		}
		info, err := file.Stat()
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a directory: name the logs in it", name)
		}
		if err != nil {
			errs = append(errs, err, file.Close())
			continue
		}
		logs = append(logs, log{file, name, info.Size()})
	}
	if err := errors.Join(errs...); err != nil {
		for _, open := range logs {
			_ = open.Close() // nothing was read of it
		}
		return nil, fmt.Errorf("opening decision logs: %w", err)
	}
	return logs, nil
}

// progress returns a bar on standard error of how much of the logs is read. Where that
// is no terminal, it shows nothing.
func progress(logs []log) io.WriteCloser {
	var size int64
	for _, log := range logs {
		if log.size < 0 {
			size = -1
			break
		}
		size += log.size
	}
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return discard{io.Discard}
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription("reading"), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(time.Second/10), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth(),
	)
}

// discard closes nothing.
type discard struct{ io.Writer }

func (discard) Close() error { return nil }

// render prints the summary in the form that the flags name.
func render(cmd *cobra.Command, summary *report.Summary) error {
	path, _ := cmd.Flags().GetString("html")
	asJSON, _ := cmd.Flags().GetBool("json")
	asMarkdown, _ := cmd.Flags().GetBool("markdown")
	switch {
	case asJSON:
		return summary.JSON(os.Stdout)
	case asMarkdown:
		return summary.Markdown(os.Stdout)
	case path == "-":
		return summary.HTML(os.Stdout)
	case path != "":
		var page bytes.Buffer
		if err := summary.HTML(&page); err != nil {
			return err
		}
		if err := os.WriteFile(path, page.Bytes(), 0o600); err != nil {
			return fileError("html", err)
		}
		return nil
	}
	return summary.Text(os.Stdout)
}
