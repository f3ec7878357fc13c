package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/duet-chat/duet/cmd/duet/vault"
)

// cli is the command line.
type cli struct {
	globals

	Signup  signupCmd  `cmd:"" help:"Make an account, and sign in."`
	Signin  signinCmd  `cmd:"" aliases:"login" help:"Sign in with an account."`
	Signout signoutCmd `cmd:"" aliases:"logout" help:"Sign out: end sessions at once, and forget this one."`
	Who     whoCmd     `cmd:"" help:"Show who is signed in here, and their conversations with unread numbers."`
	List    listCmd    `cmd:"" help:"List conversations, newest first, with unread numbers."`
	Chat    chatCmd    `cmd:"" help:"Chat with a user, line by line; /help tells more. Ends with Ctrl-D or Ctrl-C."`
	Send    sendCmd    `cmd:"" help:"Send one message, or each line of standard input."`
	History historyCmd `cmd:"" help:"Show a conversation."`

	Password newPasswordCmd `cmd:"" help:"Change the password, and sign out everywhere else."`
	Export   exportCmd      `cmd:"" help:"Write all data of the user as JSON (docs/export.md)."`
	Erase    eraseCmd       `cmd:"" help:"Delete the account for good, with the texts of all its messages."`

	Bench benchCmd `cmd:"" help:"Load a deployment and measure it."`
}

const defaultEndpoint = "http://localhost:4566"

// globals are the flags of all commands.
type globals struct {
	Endpoint string        `default:"${endpoint}" env:"DUET_ENDPOINT" placeholder:"URL|FILE" help:"The deployment: a local cloud's URL, or a file with a stack's outputs as JSON (${default}; $$${env})."`
	As       string        `env:"DUET_AS" placeholder:"USER" help:"Who you are, if several are signed in here ($$${env})."`
	JSON     bool          `name:"json" help:"Write one JSON object per line."`
	Timeout  time.Duration `default:"15s" help:"How long to wait for the server (${default}). A chat waits for ever."`
}

const description = `Chat with Duet from a terminal.

Exit codes: 0 done, 1 refused by the server, 2 wrong usage, 3 the server cannot be reached or does not answer, 4 not signed in, 5 a file on this machine cannot be read or written, 130 interrupted.

Accounts and unsent messages are kept in DUET_HOME (default: the folder duet among this user's configuration files).`

// console is the surrounding of a run: what a test puts its own things in place of.
type console struct {
	in       io.Reader
	out, err io.Writer
	keyboard *os.File // standard input if it is a terminal; nil otherwise
	display  *os.File // standard output if it is a terminal; nil otherwise
	getenv   func(string) string
	program  string // how to call this program, for advice
}

func system() *console {
	c := &console{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, program: "duet"}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		c.keyboard = os.Stdin
	}
	if term.IsTerminal(int(os.Stdout.Fd())) {
		c.display = os.Stdout
	}
	if strings.Contains(filepath.Dir(os.Args[0]), "go-build") {
		c.program = "go run ./cmd/duet"
	}
	return c
}

// interactive tells whether a person types and reads.
func (a *app) interactive() bool { return a.keyboard != nil && a.display != nil && !a.JSON }

// app is what a command runs with.
type app struct {
	*console
	globals
	now func() time.Time
}

// run runs one command line and returns the exit code.
func run(ctx context.Context, args []string, c *console) int {
	var commands cli
	helped := false
	parser, err := kong.New(&commands,
		kong.Name("duet"),
		kong.Description(description),
		kong.Writers(c.out, c.err),
		kong.Vars{"endpoint": defaultEndpoint, "mostunread": strconv.Itoa(mostUnread)},
		kong.Exit(func(int) { helped = true }), // after --help
	)
	if err != nil {
		fmt.Fprintln(c.err, "duet:", err)
		return exitUsage
	}
	parsed, err := parser.Parse(args)
	if helped {
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(c.err, "duet: %v\nSee: %s --help\n", err, c.program)
		return exitUsage
	}
	a := &app{console: c, globals: commands.globals, now: time.Now}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return a.exit(parsed.Run(a))
}

// vault is where accounts are kept.
func (a *app) vault() (vault.Vault, error) {
	if folder := a.getenv("DUET_HOME"); folder != "" {
		return vault.Vault{Folder: folder}, nil
	}
	folder, err := os.UserConfigDir()
	if err != nil {
		return vault.Vault{}, fmt.Errorf("%w: set DUET_HOME to a folder", err)
	}
	return vault.Vault{Folder: filepath.Join(folder, "duet")}, nil
}

// command is a command line to advise, for the deployment in use.
func (a *app) command(format string, args ...any) string {
	s := a.program + " " + fmt.Sprintf(format, args...)
	if a.Endpoint != defaultEndpoint && a.getenv("DUET_ENDPOINT") != a.Endpoint {
		s += " --endpoint " + a.Endpoint
	}
	return s
}

var errInterrupted = errors.New("interrupted")
