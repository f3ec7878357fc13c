// Duet is the terminal client: it signs up, chats, sends, reads history and measures, on this
// machine's local cloud or on any deployment.
//
//	duet signup alice
//	duet chat bob --as alice
//	echo hello | duet send bob --as alice --json
//	duet bench --pairs 50 --rate 200
//
// Files: main.go and cli.go parse; a command stands in the file of its name; session.go runs a
// client for it; screen.go is what a chat is shown on; exit.go says what went wrong, what to do, and
// with which exit code. bench_crowd.go makes the accounts of a load, bench_record.go watches what they
// see, bench_report.go sums up. What is kept on disk is in the package vault.
package main
