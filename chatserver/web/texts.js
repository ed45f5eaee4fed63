// Every text that the page shows, in one place: to translate it, translate this. `direction` is
// that of the language, `language` is for the reader's voice and for dates.

export const language = "en";
export const direction = "ltr";

const number = new Intl.NumberFormat(language);
const people = (count) => (count === 1 ? "1 person" : `${number.format(count)} people`);
const messages = (count) => (count === 1 ? "1 new message" : `${number.format(count)} new messages`);

export const texts = {
  chat: "Chat",
  lobby: "Lobby",

  // Coming in
  welcome: "Come in and talk",
  welcomeHint: "Choose the name that the others will see.",
  yourName: "Your name",
  comeIn: "Come in",
  comingIn: "Coming in …",
  starting: "One moment …",
  emptyName: "Type a name first.",
  inAnotherTab: (name) => `You are in here as ${name} in another tab.`,
  goOnHere: (name) => `Go on here as ${name}`,
  orAnotherName: "Or come in with another name:",
  staySignedIn: "Stay signed in on this device",
  nameLost: (name) => `You were away too long, and ${name} is somebody else now. Choose another name; what you had not sent is kept.`,

  // The end
  elsewhereTitle: "You went on somewhere else",
  elsewhere: "This chat goes on in another tab or program. Nothing more arrives here.",
  takeBack: "Go on here instead",
  sentAwayTitle: "You have been sent away",
  sentAway: "The people who run this chat have ended your visit.",
  tokenOverTitle: "Your sign-in is over",
  tokenOver: "Ask for a new link, or come in as a guest.",
  startAnew: "Back to the start",

  // The connection
  online: "Online",
  connecting: "Connecting …",
  offline: "Offline",
  nextTry: (seconds) => `Offline. Next try in ${seconds} s.`,
  offlineKept: "What you send now goes out as soon as the connection is back.",
  tryNow: "Try now",

  // Finding one's way
  skipToMessage: "Skip to the message field",
  menu: "Rooms and people",
  closeMenu: "Close the list",
  rooms: "Rooms",
  conversations: "Conversations",
  people: "People",
  you: "you",
  away: "away",
  more: (count) => `and ${number.format(count)} more`,
  here: (count) => `${people(count)} here`,
  leave: "Leave the chat",
  notify: "Notify me of mentions",
  notifyOff: "Stop notifying me",
  notifyDenied: "Your browser does not let this page notify you.",
  unread: (count) => `${number.format(count)} unread`,

  // Messages
  messages: "Messages",
  message: (room) => `Message to ${room}`,
  placeholder: "Write a message …",
  send: "Send",
  tooLong: (count, most) => `${number.format(count)} of ${number.format(most)} characters: too long to send.`,
  isCommand: "looks like a command, so it was not sent. Here, buttons do what commands do in the terminal.",
  sayAnyway: "Say it anyway",
  left: (count) => `${number.format(count)} characters left`,
  today: "Today",
  yesterday: "Yesterday",
  newHere: "New",
  beginning: "This is where it begins.",
  quiet: "Nobody has said anything yet. Say hello!",
  loading: "Loading older messages …",
  hole: "Something may be missing here.",
  toEnd: "To the newest message",
  newBelow: messages,
  manyArrived: (count, room) => `${messages(count)} in ${room}`,
  says: (name, text) => `${name}: ${text}`,
  sending: "Sending …",
  waiting: "Waiting for the connection …",
  sent: "Sent",
  notSent: "Not sent.",
  notSentNameLost: "It is not known whether this arrived before your name was lost.",
  notSentRoomOver: "The room is over.",
  sendAgain: "Send again",
  takeBackText: "Edit",
  discard: "Discard",
  edited: "edited",
  removed: "This message was removed.",
  typing: (names) =>
    names.length === 1 ? `${names[0]} is typing …`
    : names.length === 2 ? `${names[0]} and ${names[1]} are typing …`
    : "Several people are typing …",
  mentionList: "People to mention",

  // What one does to messages
  actions: "What to do with this message",
  react: "React",
  reactWith: (emoji) => `React with ${emoji}`,
  reacted: (emoji, count) => `${emoji}, ${count}`,
  reply: "Reply",
  replyTo: (name) => `Reply to ${name}`,
  replyGone: "A message that is not there any more",
  cancelReply: "Do not reply",
  edit: "Edit",
  editing: "Edit your message",
  save: "Save",
  cancel: "Cancel",
  remove: "Remove",

  // Rooms and people
  findRooms: "Find or open a room",
  publicRooms: "Public rooms",
  enterRoom: "Enter",
  roomName: "Name of a room",
  roomNameHint: "Lower case, no spaces. A room that does not exist is made.",
  openPrivate: "Open a private room",
  roomTitle: "Title",
  earlierReadable: "Those who come later may read what was said before",
  open: "Open",
  noRooms: "There are no other rooms yet.",
  roomMenu: "About this room",
  topic: "Topic",
  setTopic: "Change the topic",
  invite: "Make an invitation",
  inviteHint: "Whoever has this link can come in:",
  copy: "Copy",
  copied: "Copied",
  leaveRoom: "Leave this room",
  endConversation: "End this conversation for both",
  roomOver: "You are not in this room any more. What was said can be read until you put it away.",
  putAway: "Put it away",
  closeRoom: "Close this room for everybody",
  close: "Close",
  mention: "Mention",
  conversation: "Message",
  block: "Block",
  reason: "Reason (they will see it)",
  mute: "Mute for an hour",
  kick: "Send out",
  ban: "Ban",
  failed: (message) => `That did not work: ${message}`,
};
